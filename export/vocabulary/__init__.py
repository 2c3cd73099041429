"""`--keep-languages`: a vocabulary cut to what some texts or languages need, every vector of such texts unchanged."""
