"""Well-known load tools as second opinions; what one does not measure, or otherwise, its notes say."""
