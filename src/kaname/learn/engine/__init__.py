"""Inference on CPU through onnxruntime: conditioning, windows, sessions, peaks. No torch."""
