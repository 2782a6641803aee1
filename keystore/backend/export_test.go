package backend

// OnStep has f called behind each step of a move.
func OnStep(f func(string)) { step = f }
