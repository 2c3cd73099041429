"""Speed, memory, parity and quality of strizh beside its peers, on the machine at hand. Start with `run.py`."""
