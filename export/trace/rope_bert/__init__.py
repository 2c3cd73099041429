"""RoPEBert for transformers 5: BERT with rotary positions, one concern a file, no remote code.

Tensors are named as in the published checkpoints (Tochka-AI/ruRoPEBert-*): as in BERT, without a position table.
"""
