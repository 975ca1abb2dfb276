"""The black box of a run: the last seconds of what came in and what came out, in a form that can be run again."""
