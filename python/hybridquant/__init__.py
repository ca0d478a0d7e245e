"""Quantization of CNN-transformer hybrid vision transformers."""
