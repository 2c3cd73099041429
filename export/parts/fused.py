"""Which of ONNX Runtime's fused operators say what a spec says, for the targets that write them."""

from strizh.export.spec import Activation, EncoderSpec, Norm

MICROSOFT = "com.microsoft"
BIAS_GELU = {Activation.GELU: "BiasGelu", Activation.GELU_TANH: "FastGelu"}  # act(x + bias)
GELU = {Activation.GELU: "Gelu", Activation.GELU_TANH: "FastGelu"}
SKIP_NORM = {Norm.LAYER: "SkipLayerNormalization", Norm.RMS: "SkipSimplifiedLayerNormalization"}


def norms_in_order(spec: EncoderSpec) -> list[str | None]:
    """The norm in front of the first layer, then the one that follows each sum; None where there is none.

    A post-norm layer ends each half with its own norm. A pre-norm layer begins with it, so that it follows the sum before.
    """
    last = "final_norm" if spec.final_norm else None
    attention, mlp = (
        [f"layers.{index}.{half}.norm" for index in range(len(spec.layers))] for half in ("attention", "mlp")
    )
    begins = [slot if layer.attention_norm else None for slot, layer in zip(attention, spec.layers, strict=True)]
    if not spec.pre_norm:
        return [None, *(slot for pair in zip(attention, mlp, strict=True) for slot in pair)]
    return [begins[0], *(slot for pair in zip(mlp, [*begins[1:], last], strict=True) for slot in pair)]


def fused_activation(spec: EncoderSpec) -> str | None:
    """The operator of the feed-forward's activation, with its bias where it has one and no gate; None if there is none."""
    fused = BIAS_GELU if spec.mlp_bias[0] and not spec.gated_mlp else GELU
    return fused.get(spec.activation)
