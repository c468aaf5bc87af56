"""One file a page: reads of the store become the page's context."""
