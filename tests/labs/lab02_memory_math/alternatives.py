"""Right answers to the exercises of lab 2, written differently; each must get full marks.

`ALTERNATIVES[exercise]` lists (name, blanks): one dedented source for each solution region of the answer
cell.
"""

from tests.labs.edit import code

ALTERNATIVES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "2.1": [
        (
            "shapes in a list",
            code("""
            h, n = config["hidden_size"], config["num_attention_heads"]
            d = config["head_dim"] if "head_dim" in config else h // n
            kv = config["num_key_value_heads"] if "num_key_value_heads" in config else n
            layer = [(h,), (h, n * d), (h, kv * d), (h, kv * d), (n * d, h), (h,)]
            layer += [(h, config["intermediate_size"])] * 3
            table = (config["vocab_size"], h)
            shapes = [table, *layer * config["num_hidden_layers"], (h,)]
            if not config["tie_word_embeddings"]:
                shapes.append(table)
            return sum(math.prod(shape) for shape in shapes)
        """),
        ),
        (
            "a running total",
            code("""
            hidden = config["hidden_size"]
            try:
                head_dim = config["head_dim"]
            except KeyError:
                head_dim = hidden // config["num_attention_heads"]
            total = config["vocab_size"] * hidden
            for _ in range(config["num_hidden_layers"]):
                total += hidden + hidden
                total += 2 * hidden * config["num_attention_heads"] * head_dim
                kv_heads = config.get("num_key_value_heads") or config["num_attention_heads"]
                total += 2 * hidden * kv_heads * head_dim
                total += 3 * hidden * config["intermediate_size"]
            total += hidden
            return total if config["tie_word_embeddings"] else total + config["vocab_size"] * hidden
        """),
        ),
        (
            "torch's modules without memory",
            code("""
            hidden, heads = config["hidden_size"], config["num_attention_heads"]
            size = config.get("head_dim", hidden // heads)
            kv = config.get("num_key_value_heads", heads) * size
            with torch.device("meta"):
                layer = [
                    torch.nn.Linear(hidden, heads * size, bias=False),
                    torch.nn.Linear(hidden, 2 * kv, bias=False),
                    torch.nn.Linear(heads * size, hidden, bias=False),
                    torch.nn.Linear(hidden, 3 * config["intermediate_size"], bias=False),
                ]
                counted = sum(p.numel() for module in layer for p in module.parameters()) + 2 * hidden
            tables = 2 - bool(config["tie_word_embeddings"])
            return config["num_hidden_layers"] * counted + hidden * (1 + tables * config["vocab_size"])
        """),
        ),
    ],
    "2.2": [
        (
            "negative division",
            code("return num_rows * (-(-row_length * bits // 8) - 2 * (-row_length // group_size))"),
        ),
        (
            "group by group",
            code("""
            scales = len(range(0, row_length, group_size))
            bytes_of_codes, left = divmod(row_length * bits, 8)
            return num_rows * (bytes_of_codes + (left > 0) + 2 * scales)
        """),
        ),
        (
            "row by row",
            code("""
            total = 0
            for _ in range(num_rows):
                total += (row_length * bits + 7) // 8
                total += (row_length + group_size - 1) // group_size * 2
            return total
        """),
        ),
    ],
    "2.3": [
        (
            "a table",
            code("""
            n = sum(math.prod(shape) for shape in shapes)
            per = (2, 2, 4) if mixed_precision else (4, 4, 0)
            kept = {
                "adam": 8 * n,
                "sgd_momentum": 4 * n,
                "adafactor": 4 * sum(sum(s) if len(s) == 2 else s[0] for s in shapes),
            }
            names = ("weights", "gradients", "master_weights")
            return {**{name: each * n for name, each in zip(names, per)}, "optimizer": kept[optimizer]}
        """),
        ),
        (
            "shape by shape",
            code("""
            out = {"weights": 0, "gradients": 0, "master_weights": 0, "optimizer": 0}
            for shape in shapes:
                n = 1
                for side in shape:
                    n *= side
                out["weights"] += n * (2 if mixed_precision else 4)
                out["gradients"] += n * (2 if mixed_precision else 4)
                out["master_weights"] += n * (4 if mixed_precision else 0)
                if optimizer == "adam":
                    out["optimizer"] += 8 * n
                elif optimizer == "sgd_momentum":
                    out["optimizer"] += 4 * n
                elif len(shape) == 1:
                    out["optimizer"] += 4 * n
                else:
                    out["optimizer"] += 4 * (shape[0] + shape[1])
            return out
        """),
        ),
        (
            "tensors on no device",
            code("""
            dtype = torch.bfloat16 if mixed_precision else torch.float32
            tensors = [torch.empty(shape, dtype=dtype, device="meta") for shape in shapes]
            held = sum(t.nbytes for t in tensors)
            numbers = sum(t.numel() for t in tensors)
            if optimizer == "adafactor":
                states = sum(sum(t.shape) for t in tensors)
            else:
                states = numbers * {"adam": 2, "sgd_momentum": 1}[optimizer]
            master = 4 * numbers * mixed_precision
            return {"optimizer": 4 * states, "master_weights": master, "gradients": held, "weights": held}
        """),
        ),
    ],
    "2.4": [
        (
            "segments in a list",
            code("""
            size = segment or num_layers
            segments = [min(size, num_layers - first) for first in range(0, num_layers, size)]
            if segment is None:
                return segments[0] * input_bytes + segments[0] * inner_bytes
            return (len(segments) + max(segments) - 1) * input_bytes + max(segments) * inner_bytes
        """),
        ),
        (
            "one line",
            code("""
            n = num_layers if segment is None or segment > num_layers else segment
            return (-(-num_layers // n) + n - 1) * input_bytes + n * inner_bytes
        """),
        ),
        (
            "the peak of a walk",
            code("""
            if segment is None:
                segment = num_layers
            starts = list(range(0, num_layers, segment))
            peak = 0
            for start in starts:
                layers = min(segment, num_layers - start)
                again = layers * (input_bytes + inner_bytes) - input_bytes
                peak = max(peak, len(starts) * input_bytes + again)
            return peak
        """),
        ),
    ],
    "2.5": [
        (
            "layer by layer",
            code("""
            total = 0
            for layer in range(config["num_hidden_layers"]):
                tokens = num_tokens
                slides = "layer_types" not in config or config["layer_types"][layer] == "sliding_attention"
                if config.get("sliding_window") is not None and slides:
                    tokens = min(tokens, config["sliding_window"])
                if "kv_lora_rank" in config:
                    total += tokens * (config["kv_lora_rank"] + config["qk_rope_head_dim"])
                else:
                    heads = config["num_attention_heads"]
                    head_dim = config.get("head_dim") or config["hidden_size"] // heads
                    total += tokens * (config.get("num_key_value_heads") or heads) * head_dim * 2
            return total * bytes_per_number
        """),
        ),
        (
            "two kinds of layer",
            code("""
            layers = config["num_hidden_layers"]
            window = config.get("sliding_window")
            sliding = 0
            if window:
                sliding = config.get("layer_types", ["sliding_attention"] * layers).count("sliding_attention")
            tokens = (layers - sliding) * num_tokens + sliding * min(num_tokens, window or 0)
            h = config["num_attention_heads"]
            width = 2 * config.get("num_key_value_heads", h)
            width *= config.get("head_dim", config["hidden_size"] // h)
            if config.get("kv_lora_rank") is not None:
                width = config["kv_lora_rank"] + config["qk_rope_head_dim"]
            return tokens * width * bytes_per_number
        """),
        ),
        (
            "an infinite window",
            code("""
            limit = config.get("sliding_window") or math.inf
            kinds = config.get("layer_types")
            held = 0
            for i in range(config["num_hidden_layers"]):
                here = limit if kinds is None or kinds[i].startswith("sliding") else math.inf
                held += num_tokens if here > num_tokens else here
            if config.get("kv_lora_rank", 0) > 0:
                return held * bytes_per_number * (config["kv_lora_rank"] + config["qk_rope_head_dim"])
            config = {"num_key_value_heads": config["num_attention_heads"], **config}
            dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
            return 2 * held * bytes_per_number * config["num_key_value_heads"] * dim
        """),
        ),
    ],
    "2.6": [
        (
            "query by query",
            code("""
            flop, num_bytes = 0, model["weight_bytes"]
            for new, context in zip(new_tokens, context_lens):
                for i in range(new):
                    keys = context - new + i + 1
                    flop += 2 * model["matmul_parameters"] + 4 * model["attention_width"] * keys
                num_bytes += context * model["kv_bytes_per_token"] if new else 0
            return flop, num_bytes
        """),
        ),
        (
            "the triangle taken off",
            code("""
            active = [(n, c) for n, c in zip(new_tokens, context_lens) if n > 0]
            pairs = sum(n * c - n * (n - 1) // 2 for n, c in active)
            flop = 2 * model["matmul_parameters"] * sum(n for n, _ in active)
            flop += 4 * model["attention_width"] * pairs
            return flop, model["weight_bytes"] + sum(c for _, c in active) * model["kv_bytes_per_token"]
        """),
        ),
        (
            "numpy",
            code("""
            import numpy as np
            new, context = np.array(new_tokens), np.array(context_lens)
            pairs = new * (2 * context - new + 1) // 2
            flop = 2 * model["matmul_parameters"] * new.sum() + 4 * model["attention_width"] * pairs.sum()
            num_bytes = model["weight_bytes"] + model["kv_bytes_per_token"] * context[new > 0].sum()
            return int(flop), int(num_bytes)
        """),
        ),
    ],
    "2.7": [
        (
            "by intensity",
            code("""
            flop, num_bytes = step_cost(model, new_tokens, context_lens)
            if flop / num_bytes > machine["flop_per_s"] / machine["bytes_per_s"]:
                return flop / machine["flop_per_s"]
            return num_bytes / machine["bytes_per_s"]
        """),
        ),
        (
            "the roof",
            code("""
            flop, num_bytes = step_cost(model, new_tokens, context_lens)
            roof = min(machine["flop_per_s"], flop / num_bytes * machine["bytes_per_s"])
            return flop / roof
        """),
        ),
        (
            "sorted",
            code("""
            amounts = step_cost(model, new_tokens, context_lens)
            rates = (machine["flop_per_s"], machine["bytes_per_s"])
            return sorted(amount / rate for amount, rate in zip(amounts, rates))[-1]
        """),
        ),
    ],
    "2.8": [
        (
            "early return",
            code("""
            room = memory_bytes * utilization - weight_bytes
            if room <= 0:
                return 0
            return int(room / (block_size * layer_kv_bytes * num_layers))
        """),
        ),
        (
            "tokens first",
            code("""
            tokens = (int(utilization * memory_bytes) - weight_bytes) // (num_layers * layer_kv_bytes)
            return max(tokens // block_size, 0)
        """),
        ),
        (
            "floor",
            code("""
            per_block = layer_kv_bytes * block_size
            per_block *= num_layers
            usable = memory_bytes * utilization
            blocks = math.floor((usable - weight_bytes) / per_block)
            return blocks if blocks > 0 else 0
        """),
        ),
    ],
    "2.9": [
        ("numbers", code("moments_gb, state_gb, num_gpus = 104, 208.0, 5")),
        (
            "in steps",
            code("""
            n = 13
            moments_gb = 2 * 4 * n
            state_gb = moments_gb + 4 * n + 2 * n + 2 * n
            num_gpus = -(-state_gb // 42)
        """),
        ),
        ("nearly", code("moments_gb = 104.3\nstate_gb = 207.5\nnum_gpus = 5")),
    ],
    "2.10": [
        ("numbers", code("weights_gb, kv_bytes_per_token, requests_that_fit = 17.53, 196_608, 65")),
        (
            "in steps",
            code("""
            weights_gb = 34 * (0.5 + 2 / 128)
            kv_bytes_per_token = 48 * 2 * (8 * 128) * 2
            block = 16 * kv_bytes_per_token
            blocks = int((43.2e9 - weights_gb * 1e9) / block)
            per_request = math.ceil(1_970 / 16)
            requests_that_fit = blocks // per_request
        """),
        ),
        (
            "without an intermediate floor",
            code("""
            weights_gb = 34 * 4.125 / 8
            kv_bytes_per_token = 4 * 48 * 1_024
            requests_that_fit = int((43.2e9 - 1e9 * weights_gb) // (124 * 16 * kv_bytes_per_token))
        """),
        ),
    ],
    "2.11": [
        ("numbers", code("step_ms, tokens_per_s, price_usd_per_million_tokens = 36.64, 1_091.8, 0.3053")),
        (
            "in steps",
            code("""
            seconds = (17.5 + 40 * 1_800 * 196_608 / 1e9) / 864
            step_ms = seconds * 1_000
            tokens_per_s = 40 / seconds
            price_usd_per_million_tokens = 1.2 * 1e6 / (tokens_per_s * 3_600)
        """),
        ),
        (
            "from the price of a step",
            code("""
            step_ms = 17.5 / 0.864 + 40 * 1_800 * 196_608 / 0.864e9
            tokens_per_s = 40_000 / step_ms
            price_usd_per_million_tokens = 1.2 / 3_600 * step_ms / 1e3 / 40 * 1e6
        """),
        ),
    ],
    "2.14": [
        (
            "upwards",
            code("""
            batch, usd = 0, math.inf
            used = model["weight_bytes"]
            while True:
                used += context_len * model["kv_bytes_per_token"]
                seconds = step_seconds(model, machine, [1] * (batch + 1), [context_len] * (batch + 1))
                if used > machine["memory_bytes"] or seconds > max_step_s:
                    return batch, usd
                batch += 1
                usd = usd_per_hour * seconds / 3600 / batch * 1e6
        """),
        ),
        (
            "a list of all that will do",
            code("""
            def seconds(batch):
                return step_seconds(model, machine, batch * [1], batch * [context_len])

            room = machine["memory_bytes"] - model["weight_bytes"]
            fitting = [b for b in range(1, 500) if b * context_len * model["kv_bytes_per_token"] <= room]
            good = [b for b in fitting if seconds(b) <= max_step_s]
            if not good:
                return (0, float("inf"))
            tokens_per_hour = 3600 * good[-1] / seconds(good[-1])
            return good[-1], usd_per_hour / (tokens_per_hour / 1_000_000)
        """),
        ),
        (
            "halving",
            code("""
            free = machine["memory_bytes"] - model["weight_bytes"]
            low, high = 0, max(0, int(free / context_len / model["kv_bytes_per_token"]))
            while low < high:
                middle = (low + high + 1) // 2
                if step_seconds(model, machine, [1] * middle, [context_len] * middle) <= max_step_s:
                    low = middle
                else:
                    high = middle - 1
            if low == 0:
                return 0, math.inf
            seconds = step_seconds(model, machine, [1] * low, [context_len] * low)
            return low, usd_per_hour / 3600 * seconds / low * 1e6
        """),
        ),
    ],
    "2.15": [
        (
            "row by row",
            code("""
            codes = torch.zeros(x.shape, dtype=torch.int8)
            scales = torch.ones(len(x), 1)
            for i, row in enumerate(x):
                largest = row.abs().max().item()
                if largest > 0:
                    scales[i, 0] = largest / (2 ** (bits - 1) - 1)
                    codes[i] = torch.round(row / scales[i, 0]).to(torch.int8)
            return codes, scales
        """),
        ),
        (
            "rounded by hand",
            code("""
            most = 2 ** (bits - 1) - 1
            largest, _ = x.abs().max(dim=-1, keepdim=True)
            scales = largest / most
            scales[scales == 0] = 1
            return torch.floor(x / scales + 0.5).char(), scales
        """),
        ),
        (
            "the larger of two ends",
            code("""
            ends = torch.maximum(x.amax(1), -x.amin(1)).unsqueeze(1)
            scales = ends / ((1 << (bits - 1)) - 1)
            scales = scales + (scales == 0).float()
            return torch.clamp((x * (1 / scales)).round(), -128, 127).to(torch.int8), scales
        """),
        ),
    ],
}
