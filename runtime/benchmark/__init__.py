"""What `segrt bench` measures and writes: frames -> scenario -> result (JSON) -> page, comparison."""
