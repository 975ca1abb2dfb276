"""The subcommands of the runtime, and what every `segrt` command's exit status means."""

EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130  # and argparse's own 2 for wrong usage
