"""The printed graph of an integer model."""

from engine_cases import integer_model

from hybridquant.engine import describe_integer, describe_integer_json


def test_plain_data_holds_every_node():
    model = integer_model("attention")
    graph, plain = model.graph, describe_integer_json(model)
    assert [(row["op"], row["name"]) for row in plain["nodes"]] == [
        (node.op, node.output) for node in graph.nodes
    ]
    # The first of the three that the product of query, key and value is split into.
    linear = next(row for row in plain["nodes"] if row["op"] == "linear")
    assert linear["shape"] == [1, 576, 16]
    # Weights, and a bias, a multiplier and a shift of four bytes each an output.
    assert linear["bytes"] == 16 * 16 + 16 * 12
    assert sum(total["count"] for total in plain["kinds"].values()) == model.num_nodes
    assert sum(row["bytes"] for row in plain["nodes"]) == graph.num_bytes()
    assert plain["file_bytes"] == len(model.to_bytes())
    assert plain["copies"] == model.num_copies


def test_the_table_names_what_a_node_reads():
    model = integer_model("attention")
    lines = describe_integer(model).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    nodes = rows[2 : 2 + model.num_nodes]
    assert [row[1] for row in nodes] == [node.op for node in model.graph.nodes]
    assert nodes[0][3] == "image"
    number = {node.output: str(i) for i, node in enumerate(model.graph.nodes)}
    (add,) = (row for row in nodes if row[1] == "add")
    (node,) = (node for node in model.graph.nodes if node.op == "add")
    assert add[3].split() == [number[name] for name in node.inputs]
    assert ["total", str(model.num_nodes), str(model.graph.num_bytes())] in rows
    assert lines[-2] == "uint8 3x48x48 to 5 logits. No node is float."
