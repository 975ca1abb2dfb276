"""Frames that are on a GPU already, from whatever library: by DLPack or by `__cuda_array_interface__`.

torch, CuPy and JAX speak DLPack; PyCUDA and Numba speak the older interface. Either way nothing is copied.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple, Protocol

import numpy as np

from segrt import _core

from ..errors import FrameError
from .kernels import DeviceArray

_DL_CUDA, _DL_CUDA_MANAGED = 2, 13
_DL_KINDS = {0: "i", 1: "u", 2: "f"}


class CudaArray(Protocol):
    """What PyCUDA, Numba, CuPy and torch offer for memory on a GPU."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


class DLPackArray(Protocol):
    """What torch, CuPy and JAX offer for memory anywhere."""

    def __dlpack__(self, *, stream: int | None = None) -> Any: ...

    def __dlpack_device__(self) -> tuple[Any, int]: ...


class Borrowed(NamedTuple):
    """A frame where it is; readable as long as `owner` lives."""

    array: DeviceArray
    owner: object


def is_device_image(image: object) -> bool:
    """Whether an object says that its pixels are in a GPU's memory."""
    if isinstance(image, np.ndarray):
        return False
    if hasattr(image, "__dlpack__") and hasattr(image, "__dlpack_device__"):
        return int(image.__dlpack_device__()[0]) in (_DL_CUDA, _DL_CUDA_MANAGED)
    return hasattr(image, "__cuda_array_interface__")


def borrow(image: CudaArray | DLPackArray, stream: _core.cuda.Stream) -> Borrowed:
    """See a frame where it is; what is queued on `stream` from now on waits for whoever is still writing it.

    Args:
        image: of the shape and dtype that a `PixelFormat` describes; both are checked where it is used.
        stream: of the GPU that shall read it.
    Raises:
        FrameError: it is not on that GPU, or its description cannot be understood.
    """
    if hasattr(image, "__dlpack__"):
        address, shape, dtype, strides, owner = _by_dlpack(image, stream)
    else:
        address, shape, dtype, strides, owner = _by_interface(image, stream)
    device = _core.cuda.device_of(address)
    if device != stream.device:
        where = "of the host" if device < 0 else f"of cuda:{device}"
        raise FrameError(f"the image is in the memory {where}, expected cuda:{stream.device}: copy it there first")
    return Borrowed(DeviceArray(address, shape, dtype, strides, device), owner)


_Description = tuple[int, tuple[int, ...], "np.dtype[Any]", tuple[int, ...], object]


def _by_interface(image: Any, stream: _core.cuda.Stream) -> _Description:
    said = image.__cuda_array_interface__
    if said.get("mask") is not None:
        raise FrameError("the image is a masked array, expected plain pixels")
    address, shape, dtype = int(said["data"][0]), tuple(said["shape"]), np.dtype(said["typestr"])
    strides = tuple(said.get("strides") or DeviceArray.contiguous(address, shape, dtype).strides)
    if said.get("stream") is not None:  # where it is None, its maker promises that nothing is pending
        stream.wait_stream(int(said["stream"]))
    return address, shape, dtype, strides, image


def _by_dlpack(image: Any, stream: _core.cuda.Stream) -> _Description:
    capsule = image.__dlpack__(stream=stream.handle)  # its maker lets our stream wait for its own
    tensor = ctypes.cast(_pointer_of(capsule), ctypes.POINTER(_Tensor)).contents
    if tensor.type.lanes != 1 or tensor.type.code not in _DL_KINDS:
        raise FrameError(f"the image has numbers of DLPack's kind {tensor.type.code}, expected uint8 or uint16")
    address, dtype = (
        int(tensor.data or 0) + tensor.byte_offset,
        np.dtype(f"{_DL_KINDS[tensor.type.code]}{tensor.type.bits // 8}"),
    )
    shape = tuple(tensor.shape[: tensor.ndim])
    steps = tensor.strides[: tensor.ndim] if tensor.strides else None
    strides = (
        DeviceArray.contiguous(address, shape, dtype).strides
        if steps is None
        else tuple(step * dtype.itemsize for step in steps)
    )
    # A capsule that nobody consumed frees its tensor when it goes: so it is the owner.
    return address, shape, dtype, strides, capsule


class _Device(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int32), ("id", ctypes.c_int32))


class _Type(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    """DLPack's DLTensor, with which its DLManagedTensor begins."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("type", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def _pointer_of(capsule: Any) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return int(get(capsule, b"dltensor"))
