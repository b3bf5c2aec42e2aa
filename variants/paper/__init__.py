"""The rows of the DIART paper's Table III: student, prunings, fusion, dynamic int8, ONNX. Model in, model out."""
