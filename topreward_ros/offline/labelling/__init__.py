"""Labels of many recorded episodes: kept while they are made, and written as others read them."""
