"""The run store: append-only records of a run, and the check that they are unchanged."""

from .run_store import FILE_NAME as FILE_NAME
from .run_store import Store as Store
from .sqlite_files import LOCK_NAME as LOCK_NAME
from .sqlite_files import lock_folder as lock_folder
from .stored_chunk import ChunkTimes as ChunkTimes
from .stored_chunk import StoredChunk as StoredChunk
from .stored_item import StoredItem as StoredItem
from .tables import SCHEMA_VERSION as SCHEMA_VERSION
