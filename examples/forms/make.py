"""Write one small BERT, that of the demo, as a checkpoint, an ONNX graph and a Keras file, and train a pipeline on the same reviews.

    python examples/forms/make.py

Needs `pip install 'windtunnel[onnx,jax,keras,sklearn]' onnx`. The folder `made` gets what `suite.yaml` names.
"""

import os
import shutil
import warnings
from pathlib import Path

import nets
import torch
import windtunnel
from windtunnel.examples.demo import reviews

os.environ.setdefault("KERAS_BACKEND", "torch")  # else Keras asks for TensorFlow; the file is the same for all
DEMO = Path(windtunnel.__file__).parent / "examples" / "demo" / "models" / "reviews-bert"


def write_checkpoint():
    shutil.copytree(DEMO, nets.MADE / "bert", dirs_exist_ok=True)


def write_onnx():
    folder = nets.MADE / "onnx"
    shutil.copytree(DEMO, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    ids = torch.tensor([[2, 10, 11, 3], [2, 12, 3, 0]])
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            nets.make_torch().eval(), (ids, (ids != 0).long()), str(folder / "model.onnx"), dynamo=False,
            input_names=["input_ids", "attention_mask"], output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
        )  # fmt: skip


def write_keras():
    nets.build_keras().save(nets.MADE / "bert.keras")


def write_pipeline():
    import skops.io
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = list(reviews.training())
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    pipeline.fit([row["text"] for row in rows], [row["label"] for row in rows])
    skops.io.dump(pipeline, nets.MADE / "pipeline.skops")


if __name__ == "__main__":
    for write in (write_checkpoint, write_onnx, write_keras, write_pipeline):
        write()
        print(write.__name__.removeprefix("write_"), flush=True)
