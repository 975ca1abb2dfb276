"""`segrt run --serve`: what a run sees and does, in a browser and for Prometheus.

pipeline ──ServeSink──> Feed ──> Pictures, messages (for viewers), metrics, health
(any thread)            newest frame and counts           one thread with an event loop, and one that draws
"""
