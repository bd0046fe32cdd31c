"""The verbs of `roberta-train`, one module each: `add_parser(verbs)` and `run(options)`."""
