"""Files of texts in, files of vectors out: streaming, in constant memory, resumable."""
