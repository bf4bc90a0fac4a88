"""From CSV, JSONL and COCO files to a client's data folder."""
