"""Runs an exported model with onnxruntime and numpy alone: run_onnx.py model.onnx model.npz

The .npz file holds the inputs by name, as `sightseq export` leaves an example of them; for each row, the most probable
labels are printed, or the first output where the file has no labels. What stands in a file about its inputs:
`preprocessing` and `tokenizer`, beside `labels`.
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
labels, arrays = json.loads(about.get("labels", "[]")), np.load(sys.argv[2])
print(f"{about['title']}: {', '.join(f'{one.name} {one.type} {one.shape}' for one in session.get_inputs())}")
found = session.run(None, {one.name: arrays[one.name] for one in session.get_inputs()})[0]
for row in found:
    if not labels:
        print(row)
        continue
    best = row.argsort()[::-1][:3]
    print("   ".join(f"{labels[place]} {row[place]:.1%}" for place in best))
