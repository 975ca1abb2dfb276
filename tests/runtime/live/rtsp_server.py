"""GStreamer's RTSP server with coded pictures at rtsp://127.0.0.1:PORT/live; runs in the system's Python.

python3 rtsp_server.py PORT [USER:PASSWORD]
"""

import pathlib
import sys

import gi

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import coded

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LAUNCH = (
    "( appsrc name=source is-live=true format=time do-timestamp=true "
    f"caps=video/x-raw,format=I420,width={coded.WIDTH},height={coded.HEIGHT},framerate={coded.FPS}/1 "
    f"! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={coded.FPS // 2} bitrate=2000 "
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def feed(media):
    source, codes = media.get_element().get_child_by_name("source"), coded.Codes()

    def push():
        pixels = coded.picture(codes.next())
        buffer = Gst.Buffer.new_allocate(None, len(pixels), None)
        buffer.fill(0, pixels)
        flow = source.emit("push-buffer", buffer)
        return flow == Gst.FlowReturn.OK  # False ends the timer: the last viewer left

    GLib.timeout_add(1000 // coded.FPS, push)


def main(port, login=""):
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LAUNCH)
    factory.set_shared(True)
    factory.connect("media-configure", lambda _, media: feed(media))
    if login:
        user, password = login.split(":")
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        factory.add_role_from_structure(
            Gst.Structure.from_string(
                "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
            )[0]
        )
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        raise SystemExit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
