"""Settings of the ablate stage."""

from stages.option import setting


@setting
class Ablate:
    """Whether the model as it was before its alignment is measured too."""

    models: list[str]
    seed: int
