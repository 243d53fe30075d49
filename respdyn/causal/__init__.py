"""When things happened: dots, contexts, the dotted map with its one join, clocks, record bytes."""
