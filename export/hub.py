"""Where a checkpoint comes from: a folder, or a hub id that is downloaded without its code."""

from pathlib import Path

from strizh.runtime.errors import CheckpointError, MissingExtra

# Weights in one format, tokenizer, configs and heads. Never *.py: no code of a model repository is fetched.
_WANTED = (
    "*.json",
    "*.txt",
    "*.model",
    "*.safetensors",
    "sparse_linear.pt",
    "colbert_linear.pt",
    "*/pytorch_model.bin",
)
_UNWANTED = ("onnx/*", "openvino/*", "*.onnx*", "flax_model*", "tf_model*")


def resolve(source: str) -> Path:
    """The checkpoint's folder; a hub id (`owner/name`) is downloaded first, with a progress bar."""
    try:
        folder = Path(source).expanduser()
    except RuntimeError:  # "~nobody" has no home
        folder = Path(source)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(
            f"{source} is a file. Give the folder that holds it beside config.json and tokenizer.json."
        )
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise CheckpointError(
            f"{source} is neither a folder nor a hub id of the form owner/name. Check the path, or the id."
        )
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra("huggingface_hub", "hub", f"{source} is not a folder here; downloading it") from error
    try:
        found = Path(snapshot_download(source, allow_patterns=list(_WANTED), ignore_patterns=list(_UNWANTED)))
        if not any(found.rglob("*.safetensors")):
            found = Path(snapshot_download(source, allow_patterns=["pytorch_model*.bin"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{source} is not a folder here and could not be downloaded ({reason}). Check the name and the connection, "
            "or give the folder of a checkpoint."
        ) from error
    return found
