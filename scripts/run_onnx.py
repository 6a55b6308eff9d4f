"""Runs an exported model with only onnxruntime and numpy: run_onnx.py model.onnx model.npz

The .npz file contains the inputs by name; `sightseq export` writes an example. For each row the script prints the most
probable labels, or the first output if the model has no labels. The metadata of the ONNX file describes the inputs:
`preprocessing` and `tokenizer`, next to `labels`.
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
labels, arrays = json.loads(about.get("labels", "[]")), np.load(sys.argv[2])
print(f"{about['title']}: {', '.join(f'{one.name} {one.type} {one.shape}' for one in session.get_inputs())}")
outputs = session.run(None, {one.name: arrays[one.name] for one in session.get_inputs()})[0]
for row in outputs:
    if not labels:
        print(row)
        continue
    best = row.argsort()[::-1][:3]
    print("   ".join(f"{labels[index]} {row[index]:.1%}" for index in best))
