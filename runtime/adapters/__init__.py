"""strizh inside other frameworks, one file each. A file imports its framework; nothing else in strizh does."""
