package backend

// AfterStep has f called behind each step of a move.
func AfterStep(f func(string)) { afterStep = f }
