// The model, run by onnxruntime-web (WebAssembly, one thread: more need headers that static servers do not send).

import { env, InferenceSession, Tensor } from "./onnxruntime.js";

env.wasm.numThreads = 1;
env.wasm.wasmPaths = { wasm: new URL("onnxruntime.wasm", import.meta.url).href };

/** Load the model; returns a function from an input to its probabilities. */
export async function loadModel(settings) {
  // Weights may be stored in 8 bits; this converts them to 32 bits once, not at each run.
  const extra = { session: { disable_quant_qdq: "1" } };
  const session = await InferenceSession.create("model.onnx", { executionProviders: ["wasm"], extra });
  const { channels, height, width } = settings.preprocessing;
  const run = async (input) => {
    const tensor = new Tensor("uint8", input, [1, channels, height, width]);
    const outputs = await session.run({ [settings.input]: tensor });
    return outputs[settings.output].data;
  };
  await run(new Uint8Array(channels * height * width)); // the first run is slow
  return run;
}
