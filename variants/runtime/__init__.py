"""What runs a model besides torch: the CPU's abilities, ONNX graphs and sessions, and one file to take elsewhere."""
