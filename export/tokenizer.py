"""The checkpoint's tokenizer as one `tokenizer.json`, and the facts that the bundle needs of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers

from strizh.export.settings import Settings, read_settings
from strizh.runtime.errors import CheckpointError

_NO_LIMIT = 1_000_000  # transformers writes 1e30 for none
_SLOW = ("sentencepiece.bpe.model", "spiece.model", "spm.model", "tokenizer.model", "vocab.txt", "vocab.json")


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """`json` is the text of tokenizer.json; `max_length` is None where the checkpoint gives no real number."""

    json: str
    config: dict[str, Any]
    vocab_size: int
    pad_token_id: int | None
    max_length: int | None
    special_tokens: int  # that every text gets


def read_tokenizer(folder: Path, lower_case: bool = False) -> TokenizerFacts:
    """Read `tokenizer.json`, or convert a slow-only tokenizer with transformers where that is installed.

    `lower_case` is sentence-transformers' `do_lower_case`, which lowers a text before its tokenizer sees it: here the
    tokenizer's first normaliser does that.
    """
    path = folder / "tokenizer.json"
    try:
        text = path.read_text(encoding="utf-8") if path.is_file() else _convert(folder)
        tokenizer = Tokenizer.from_str(text)
        if lower_case:
            inner = [tokenizer.normalizer] if tokenizer.normalizer else []
            tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *inner])
            text = tokenizer.to_str()
    except CheckpointError:
        raise
    except Exception as error:  # the Rust library raises bare Exception
        raise CheckpointError(f"{path} is not a tokenizer that can be read ({error}). Download it again.") from error
    config_path = folder / "tokenizer_config.json"
    config = read_settings(config_path) if config_path.is_file() else Settings(str(config_path), {})
    return TokenizerFacts(
        json=text,
        config={key: value for key, value in config.fields.items() if key != "auto_map"},
        vocab_size=tokenizer.get_vocab_size(with_added_tokens=True),
        pad_token_id=_pad_token_id(tokenizer, config, folder / "special_tokens_map.json"),
        max_length=_max_length(config),
        special_tokens=tokenizer.num_special_tokens_to_add(False),
    )


def _max_length(config: Settings) -> int | None:
    limit = config.fields.get("model_max_length")
    if isinstance(limit, int | float) and limit >= _NO_LIMIT:
        return None
    return config.count("model_max_length") if config.has("model_max_length") else None


def _pad_token_id(tokenizer: Tokenizer, config: Settings, special_map: Path) -> int | None:
    specials = [read_settings(special_map)] if special_map.is_file() else []
    for source in (config, *specials):
        token = source.fields.get("pad_token")  # a string, or an object with its `content`
        content = (
            source.section("pad_token").text("content", "") if isinstance(token, dict) else source.text("pad_token", "")
        )
        if content and (found := tokenizer.token_to_id(content)) is not None:
            return int(found)
    return next((found for pad in ("<pad>", "[PAD]") if (found := tokenizer.token_to_id(pad)) is not None), None)


def _convert(folder: Path) -> str:
    present = [name for name in _SLOW if (folder / name).is_file()]
    if not present:
        raise CheckpointError(
            f"{folder} holds no tokenizer: expected tokenizer.json. Download the checkpoint again, with its tokenizer."
        )
    load = f"AutoTokenizer.from_pretrained('{folder}').save_pretrained('{folder}')"
    command = f'python -c "from transformers import AutoTokenizer; {load}"'
    refusal = (
        f"{folder} holds only a slow tokenizer ({', '.join(present)}), expected tokenizer.json. Convert it: {command}"
    )
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise CheckpointError(refusal) from error
    try:
        converted = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        text = str(converted.backend_tokenizer.to_str())
    except Exception as error:  # whatever transformers or its converters raise
        raise CheckpointError(f"{refusal} (here that failed: {str(error).splitlines()[0]})") from error
    json.loads(text)
    return text
