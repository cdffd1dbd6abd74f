"""The run store: what a run found, append-only, and whether it is still what was written."""

from .run_store import FILE_NAME as FILE_NAME
from .run_store import Store as Store
from .sqlite_files import LOCK_NAME as LOCK_NAME
from .sqlite_files import only_writer as only_writer
from .stored_item import StoredItem as StoredItem
from .tables import SCHEMA_VERSION as SCHEMA_VERSION
