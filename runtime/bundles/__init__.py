"""The file that a user ships, and whether an engine answers as its reference did: archive, bundle, parity, report."""
