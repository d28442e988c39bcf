"""The loss plot of a run, from its log."""

from pathlib import Path

from cblab.training.callbacks import read_log


def plot_loss(log: Path, picture: Path) -> Path:
    """Draw training and held-out loss against the step as a PNG; returns `picture`.

    Raises `ValueError` if the log holds no step yet.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    records = read_log(log)
    if not records:
        raise ValueError(f"{log} holds no step to plot")
    held_out = [record for record in records if "held_out_loss" in record]
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.plot([r["step"] for r in records], [r["loss"] for r in records], color="#0072b2", label="training")
    if held_out:
        steps, losses = [r["step"] for r in held_out], [r["held_out_loss"] for r in held_out]
        axes.plot(steps, losses, color="#d55e00", marker="o", markersize=4, label="held-out")
    axes.set(xlabel="step", ylabel="loss (nats a token)", yscale="log")
    # Plain numbers: a loss spans too few powers of ten for powers to be readable.
    axes.yaxis.set_major_formatter(ticker.ScalarFormatter())
    axes.yaxis.set_minor_formatter(ticker.ScalarFormatter())
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)
    return picture
