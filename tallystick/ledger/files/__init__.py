"""Files of transfers, in and out: Avro, Parquet, Arrow and CSV, in blocks of columns and in bounded memory."""

from tallystick.ledger.files.model import Block, Codes, Format, Kind, Posted, Refusal, Results, Rule
from tallystick.ledger.files.open_transfers import TransferFile, open_transfers
from tallystick.ledger.files.write import BlockWriter, write_results, write_transfers

__all__ = [
    "Block",
    "BlockWriter",
    "Codes",
    "Format",
    "Kind",
    "Posted",
    "Refusal",
    "Results",
    "Rule",
    "TransferFile",
    "open_transfers",
    "write_results",
    "write_transfers",
]
