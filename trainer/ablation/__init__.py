"""Tables of experiments: rows that differ in settings, over several seeds, sharing the stages that do not differ."""
