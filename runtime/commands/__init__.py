"""The subcommands of the runtime, and what every `segrt` command's exit status means."""

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130
