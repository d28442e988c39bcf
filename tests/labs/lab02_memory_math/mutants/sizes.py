"""Wrong answers to 2.1 to 2.4: parameters, quantized weights, training, activations."""

from tests.labs.edit import code, edited

_TABLES = 'tables = 1 if config["tie_word_embeddings"] else 2'
_ATTENTION = "attention = hidden * q_size + 2 * hidden * kv_size + q_size * hidden"
COUNT_PARAMETERS = [
    ("tied head counted", edited("2.1", (_TABLES, "tables = 2")), "counted although it is tied"),
    ("no output head", edited("2.1", (_TABLES, "tables = 1")), "The output head is missing"),
    (
        "tied the other way",
        edited("2.1", (_TABLES, 'tables = 2 if config["tie_word_embeddings"] else 1')),
        "the wrong way round",
    ),
    (
        "no tables",
        edited(
            "2.1",
            ('return tables * config["vocab_size"] * hidden + layers + hidden', "return layers + hidden"),
        ),
        "The token table is missing",
    ),
    (
        "keys as wide as queries",
        edited("2.1", ('kv_heads = config.get("num_key_value_heads", heads)', "kv_heads = heads")),
        "as wide as the queries'",
    ),
    (
        "head_dim computed",
        edited("2.1", ('config.get("head_dim", hidden // heads)', "hidden // heads")),
        "is not always hidden size / heads",
    ),
    ("GPT's MLP", edited("2.1", ("mlp = 3 * hidden", "mlp = 2 * hidden")), "The MLP has two matrices"),
    ("one norm", edited("2.1", ("2 * hidden)", "hidden)")), "One norm a layer"),
    ("no norms in layers", edited("2.1", (" + 2 * hidden)", ")")), "The norms of the layers are missing"),
    ("no last norm", edited("2.1", ("+ layers + hidden", "+ layers")), "The last norm is missing"),
    (
        "no norms at all",
        edited("2.1", (" + 2 * hidden)", ")"), ("+ layers + hidden", "+ layers")),
        "All norms are missing",
    ),
    (
        "no output projection",
        edited("2.1", (_ATTENTION, "attention = hidden * q_size + 2 * hidden * kv_size")),
        "The output projection of attention is missing",
    ),
    (
        "square output projection",
        edited("2.1", (_ATTENTION, "attention = hidden * q_size + 2 * hidden * kv_size + hidden**2")),
        "taken as hidden × hidden",
    ),
    (
        "keys only",
        edited("2.1", (_ATTENTION, "attention = hidden * q_size + hidden * kv_size + q_size * hidden")),
        "Only one of the key and value projections",
    ),
    (
        "one layer",
        edited("2.1", ('layers = config["num_hidden_layers"] * (', "layers = (")),
        "One layer is counted",
    ),
    (
        "bytes",
        edited("2.1", ("return tables", "return 2 * (tables"), ("+ layers + hidden", "+ layers + hidden)")),
        "These are bytes",
    ),
    (
        "KeyError",
        edited("2.1", ('config.get("num_key_value_heads", heads)', 'config["num_key_value_heads"]')),
        "may be missing",
    ),
]

_SCALES = "scale_bytes = 2 * math.ceil(row_length / group_size)"
_CODES = "code_bytes = math.ceil(row_length * bits / 8)"
QUANTIZED_BYTES = [
    ("no scales", code("return num_rows * math.ceil(row_length * bits / 8)"), "The scales are missing"),
    ("float32 scales", edited("2.2", ("= 2 * math", "= 4 * math")), "they are counted as 4"),
    ("8-bit scales", edited("2.2", ("= 2 * math", "= math")), "they are counted as 1"),
    (
        "groups rounded down",
        edited("2.2", (_SCALES, "scale_bytes = 2 * (row_length // group_size)")),
        "has no scale: round the number of groups up",
    ),
    ("a scale a row", edited("2.2", (_SCALES, "scale_bytes = 2")), "Each row has one scale"),
    ("bits", edited("2.2", (_CODES, "code_bytes = row_length * bits")), "counted in bits"),
    ("a byte each", edited("2.2", (_CODES, "code_bytes = row_length")), "takes a whole byte"),
    (
        "rounded down",
        edited("2.2", (_CODES, "code_bytes = row_length * bits // 8")),
        "rounded down to whole bytes",
    ),
    ("fractions", edited("2.2", (_CODES, "code_bytes = row_length * bits / 8")), "a fraction of a byte"),
    (
        "one long row",
        code("""
        numbers = num_rows * row_length
        return math.ceil(numbers * bits / 8) + 2 * math.ceil(numbers / group_size)
    """),
        "All rows are packed together",
    ),
    (
        "codes across rows",
        code("""
        codes = math.ceil(num_rows * row_length * bits / 8)
        return codes + 2 * num_rows * math.ceil(row_length / group_size)
    """),
        "The codes of all rows are packed together",
    ),
    (
        "one row",
        edited("2.2", ("return num_rows * (code_bytes + scale_bytes)", "return code_bytes + scale_bytes")),
        "One row is counted",
    ),
    (
        "scales of one row",
        edited(
            "2.2",
            ("return num_rows * (code_bytes + scale_bytes)", "return num_rows * code_bytes + scale_bytes"),
        ),
        "The scales of one row are counted",
    ),
    (
        "a scale a number",
        edited("2.2", (_SCALES, "scale_bytes = 2 * row_length")),
        "Every number has a scale",
    ),
    (
        "group_size scales",
        edited("2.2", (_SCALES, "scale_bytes = 2 * group_size")),
        "There are `group_size` scales",
    ),
]

_MOMENTS, _FACTORED = "states = 2 * num_parameters", "states = sum(sum(shape) for shape in shapes)"
_MASTER = "4 * num_parameters if mixed_precision else 0"
TRAINING_BYTES = [
    ("one moment", edited("2.3", (_MOMENTS, "states = num_parameters")), "Half of what is expected for Adam"),
    (
        "states follow the weights",
        edited("2.3", ('"optimizer": 4 * states', '"optimizer": working * states')),
        "the optimizer's states shrink",
    ),
    ("no master weights", edited("2.3", (_MASTER, "0")), "Master weights are missing"),
    (
        "16-bit master",
        edited("2.3", (_MASTER, "2 * num_parameters if mixed_precision else 0")),
        "The master weights are in 16 bits",
    ),
    (
        "master always",
        edited("2.3", (_MASTER, "4 * num_parameters")),
        "Master weights without mixed precision",
    ),
    (
        "no gradients",
        edited("2.3", ('"gradients": working * num_parameters', '"gradients": 0')),
        "The gradients are missing",
    ),
    (
        "float32 gradients",
        edited("2.3", ('"gradients": working * num_parameters', '"gradients": 4 * num_parameters')),
        "the gradients are counted in float32",
    ),
    (
        "float32 weights",
        edited("2.3", ('"weights": working * num_parameters', '"weights": 4 * num_parameters')),
        "the weights are counted in float32",
    ),
    (
        "always 16 bits",
        edited("2.3", ("working = 2 if mixed_precision else 4", "working = 2")),
        "Without mixed precision",
    ),
    (
        "master in weights",
        edited(
            "2.3",
            (
                '"weights": working * num_parameters',
                '"weights": (6 if mixed_precision else 4) * num_parameters',
            ),
            (_MASTER, "0"),
        ),
        "is put into `weights`",
    ),
    (
        "two numbers for SGD",
        edited("2.3", ("    states = num_parameters\n", "    states = 2 * num_parameters\n")),
        "keeps one number a parameter: two",
    ),
    (
        "none for SGD",
        edited("2.3", ("    states = num_parameters\n", "    states = 0\n")),
        "keeps one number a parameter: none",
    ),
    (
        "Adafactor keeps all",
        edited("2.3", (_FACTORED, "states = num_parameters")),
        "only row and column means",
    ),
    (
        "rows only",
        edited("2.3", (_FACTORED, "states = sum(shape[0] for shape in shapes)")),
        "means of the columns too",
    ),
    (
        "columns only",
        edited("2.3", (_FACTORED, "states = sum(shape[-1] for shape in shapes)")),
        "means of the rows too",
    ),
    (
        "vectors forgotten",
        edited("2.3", (_FACTORED, "states = sum(sum(shape) for shape in shapes if len(shape) == 2)")),
        "A vector has no rows and columns",
    ),
    (
        "one number a vector",
        edited("2.3", (_FACTORED, "states = sum(sum(shape) if len(shape) == 2 else 1 for shape in shapes)")),
        "one number for a whole vector",
    ),
    (
        "16-bit Adafactor",
        edited(
            "2.3", ('"optimizer": 4 * states', '"optimizer": (2 if optimizer == "adafactor" else 4) * states')
        ),
        "Adafactor's states are float32",
    ),
    (
        "counts",
        edited(
            "2.3",
            ("working = 2 if mixed_precision else 4", "working = 1"),
            (_MASTER, "num_parameters if mixed_precision else 0"),
            ('"optimizer": 4 * states', '"optimizer": states'),
        ),
        "These are counts of numbers",
    ),
    (
        "sides added",
        edited(
            "2.3",
            ("math.prod(shape) for shape", "sum(shape) for shape"),
            (_MOMENTS, "states = 2 * sum(map(math.prod, shapes))"),
            ("    states = num_parameters\n", "    states = sum(map(math.prod, shapes))\n"),
        ),
        "The sides of a shape are added",
    ),
]

_INPUTS = "kept_inputs = math.ceil(num_layers / segment) * input_bytes"
_RETURN = "return kept_inputs + longest * inner_bytes + (longest - 1) * input_bytes"
_LONGEST = "longest = min(segment, num_layers)"
_ALL = "return num_layers * (input_bytes + inner_bytes)"
ACTIVATION_BYTES = [
    (
        "plain without inputs",
        edited("2.4", (_ALL, "return num_layers * inner_bytes")),
        "keeps its input as well",
    ),
    (
        "plain with one layer",
        edited("2.4", (_ALL, "return input_bytes + inner_bytes")),
        "one layer is counted",
    ),
    (
        "every input",
        edited("2.4", (_INPUTS, "kept_inputs = num_layers * input_bytes")),
        "The input of every layer is kept",
    ),
    (
        "no inputs kept",
        edited("2.4", (_RETURN, "return longest * inner_bytes + (longest - 1) * input_bytes")),
        "The inputs that are kept are missing",
    ),
    ("segment as number", edited("2.4", (_INPUTS, "kept_inputs = segment * input_bytes")), "are mixed up"),
    (
        "rounded down",
        edited("2.4", (_INPUTS, "kept_inputs = num_layers // segment * input_bytes")),
        "shorter segment is not counted",
    ),
    (
        "one more",
        edited("2.4", (_INPUTS, "kept_inputs = (num_layers // segment + 1) * input_bytes")),
        "One segment too many",
    ),
    (
        "fractions",
        edited("2.4", (_INPUTS, "kept_inputs = num_layers / segment * input_bytes")),
        "fractions of a segment",
    ),
    ("one layer again", edited("2.4", ("longest * inner_bytes", "inner_bytes")), "Only one layer is held"),
    (
        "nothing again",
        edited("2.4", (_RETURN, "return kept_inputs")),
        "What the backward pass computes again",
    ),
    (
        "all inner",
        edited("2.4", ("longest * inner_bytes", "num_layers * inner_bytes")),
        "The inner tensors of all layers",
    ),
    (
        "first input twice",
        edited("2.4", ("(longest - 1) * input_bytes", "longest * input_bytes")),
        "is counted twice",
    ),
    (
        "no inputs inside",
        edited("2.4", (" + (longest - 1) * input_bytes", "")),
        "The inputs inside the segment",
    ),
    ("not clipped", edited("2.4", (_LONGEST, "longest = segment")), "has no more layers than the model"),
]
