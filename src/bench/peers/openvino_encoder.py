"""The exported encoder in OpenVINO: a batch at once, or image by image on several streams."""
import contest

work = contest.work()
ov = contest.library("openvino", "OpenVINO")
np = contest.library("numpy", "NumPy")

streams = work["streams"]
batch = 1 if streams > 1 else work["batch"]
core = ov.Core()
model = core.read_model(work["model"])
model.reshape({"hu": [batch, *work["size"]]})
settings = {
    "INFERENCE_NUM_THREADS": work["threads"],
    "NUM_STREAMS": streams,
    "INFERENCE_PRECISION_HINT": "f32",
}
compiled = core.compile_model(model, "CPU", settings)
hu = np.random.default_rng(0).uniform(-1000, 1000, (work["batch"], *work["size"])).astype(np.float32)
queue = ov.AsyncInferQueue(compiled, streams)


def encode():
    for start in range(0, work["batch"], batch):
        queue.start_async({"hu": hu[start : start + batch]})
    queue.wait_all()


way = f"image by image on {streams} streams" if streams > 1 else "one batch"
contest.compete(encode, f"OpenVINO {ov.__version__.split('-')[0]}, float32, {way}", work["threads"])
