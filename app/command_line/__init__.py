"""What the commands `roberta-serve` and `roberta-train` share: verbs, flags, errors of a sentence, and completion.

It imports little, so that help and a mistyped flag are answered at once.
"""
