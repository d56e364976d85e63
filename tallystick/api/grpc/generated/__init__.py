"""
Written by protoc from contracts/tallystick.proto, never by hand; `tests/conformance/test_grpc_contract.py` holds that it is.

From the root of the project:

    python -m grpc_tools.protoc -Itallystick/api/grpc/generated=contracts --python_out=. --pyi_out=. --grpc_python_out=. contracts/tallystick.proto
"""
