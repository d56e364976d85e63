"""Archive: months of usage are detached, exported, dropped, restored and attached again."""
