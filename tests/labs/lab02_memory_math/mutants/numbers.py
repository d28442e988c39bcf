"""Wrong answers to 2.9 to 2.11: the numbers of the assessment."""

from tests.labs.edit import Mutant, solution


def _numbers(exercise_id: str, rows: list[tuple[str, str, str]]) -> list[Mutant]:
    """The solution with one variable overwritten afterwards, for each (name, expression, fragment)."""
    return [
        (f"{name} = {expression}", (f"{solution(exercise_id)[0]}\n{name} = {expression}",), fragment)
        for name, expression, fragment in rows
    ]


FINE_TUNING = _numbers(
    "2.9",
    [
        ("moments_gb", "13.0e9 * 4 / 1e9", "Half of Adam's moments"),
        ("moments_gb", "13.0e9 * 12 / 1e9", "The master weights are in `moments_gb`"),
        ("moments_gb", "13.0e9 * 8 / 2**30", "That is `moments_gb` in GiB"),
        ("moments_gb", "13.0e9 * 16 / 1e9", "That is all of the state"),
        ("state_gb", "13.0e9 * 12 / 1e9", "The master weights are missing from `state_gb`"),
        ("state_gb", "13.0e9 * 8 / 1e9", "Half of `state_gb`"),
        ("state_gb", "13.0e9 * 20 / 1e9", "20 bytes a parameter"),
        ("state_gb", "208 + 30", "The activations are in `state_gb`"),
        ("num_gpus", "208 / 42", "A part of a GPU cannot be had"),
        ("num_gpus", "208 // 42", "Rounded down: on so many GPUs"),
        ("num_gpus", "math.ceil(208 / 72)", "The activations are forgotten"),
        ("state_gb", "13.0e9 * 14 / 1e9", "The gradients or the 16-bit weights are missing"),
    ],
)

WHO_FITS = _numbers(
    "2.10",
    [
        ("weights_gb", "34e9 * 4 / 8 / 1e9", "The scales are missing from `weights_gb`"),
        ("weights_gb", "34e9 * 2 / 1e9", "That is 16 bits a weight"),
        ("weights_gb", "34e9 * 4.125 / 1e9", "The bits are not turned into bytes"),
        ("weights_gb", "34e9 * 4.125 / 8 / 2**30", "That is `weights_gb` in GiB"),
        ("kv_bytes_per_token", "2 * 48 * 64 * 128 * 2", "The 64 query heads are counted"),
        ("kv_bytes_per_token", "48 * 8 * 128 * 2", "are both K and V counted"),
        ("kv_bytes_per_token", "2 * 8 * 128 * 2", "That is one layer"),
        ("kv_bytes_per_token", "48 * 8 * 128", "Neither V nor the 2 bytes"),
        (
            "requests_that_fit",
            "int((43.2e9 - 17.53125e9) // (1_970 * 196_608))",
            "each request takes whole blocks",
        ),
        ("requests_that_fit", "int(43.2e9 // (1_984 * 196_608))", "The weights are forgotten"),
        ("requests_that_fit", "int((48e9 - 17.53125e9) // (1_984 * 196_608))", "All 48 GB are planned with"),
        ("requests_that_fit", "8_159", "That is the number of blocks"),
    ],
)

SPEED_AND_PRICE = _numbers(
    "2.11",
    [
        ("step_ms", "1e3 * 17.5e9 / 864e9", "The keys and values are missing"),
        ("step_ms", "1e3 * 40 * 1_800 * 196_608 / 864e9", "The weights are missing: each step"),
        ("step_ms", "(17.5e9 + 40 * 1_800 * 196_608) / 864e9", "That is in seconds"),
        ("step_ms", "1e3 * (17.5e9 + 1_800 * 196_608) / 864e9", "One request's keys and values"),
        ("step_ms", "1e3 * 40 * (17.5e9 + 1_800 * 196_608) / 864e9", "The weights are read 40 times"),
        ("tokens_per_s", "1e3 / step_ms", "That is one request's rate"),
        ("tokens_per_s", "40 / step_ms", "A thousand times too small"),
        ("tokens_per_s", "40 / (17.5 / 864)", "Computed from the weights alone"),
        ("price_usd_per_million_tokens", "1.20 / 3_600 / tokens_per_s", "That is one token's price"),
        ("price_usd_per_million_tokens", "1.20 / tokens_per_s * 1e6", "The price is by the hour"),
        (
            "price_usd_per_million_tokens",
            "1.20 / 3_600 / (tokens_per_s / 40) * 1e6",
            "with one request's rate",
        ),
        (
            "price_usd_per_million_tokens",
            "tokens_per_s * 3_600 / 1.20 / 1e6",
            "Upside down: that is millions",
        ),
    ],
)
