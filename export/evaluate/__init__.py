"""What a bundle's variants are worth on labelled texts: one kind of task a file, found by the keys of its rows."""
