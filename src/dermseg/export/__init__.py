"""Networks in formats that other programs run: `onnx.py` writes ONNX, `check.py` compares it with PyTorch."""
