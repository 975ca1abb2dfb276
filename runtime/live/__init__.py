"""What a live stream needs beyond a file: answers in time, an engine that is watched, a smaller model under load."""
