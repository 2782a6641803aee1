package login

import (
	"maps"
	"slices"

	"github.com/groat-dev/groat/protocol"
)

// view shows a viewer what was shown before, and what will be.
func (l *Login) view(v Viewer) {
	l.mu.Lock()
	l.viewers[v] = true
	shown := slices.Clone(l.shown)
	l.mu.Unlock()
	for _, p := range shown {
		v.Notify(p)
	}
}

// leave takes a viewer away; the login is cancelled with its last one.
func (l *Login) leave(v Viewer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.viewers, v)
	if len(l.viewers) == 0 {
		l.cancel()
	}
}

// show shows a prompt to every viewer, and returns the number of a question.
func (l *Login) show(p protocol.Prompt) int64 {
	p.LoginID = l.id
	l.mu.Lock()
	if p.IsQuestion() {
		l.question++
		p.Question = l.question
	}
	l.remember(p)
	viewers := slices.Collect(maps.Keys(l.viewers))
	l.mu.Unlock()
	for _, v := range viewers { // one of them may be slow to read
		v.Notify(p)
	}
	return p.Question
}

// remember keeps what a viewer who joins must see: the open prompt, which is the last that is no notice, and the last notices. The
// caller holds mu.
func (l *Login) remember(p protocol.Prompt) {
	notices := 0
	for _, q := range l.shown {
		if q.Kind == protocol.PromptNotice {
			notices++
		}
	}
	if p.Kind != protocol.PromptNotice {
		l.forget()
	} else if notices == maxNotices {
		i := slices.IndexFunc(l.shown, func(q protocol.Prompt) bool { return q.Kind == protocol.PromptNotice })
		l.shown = slices.Delete(l.shown, i, i+1)
	}
	l.shown = append(l.shown, p)
}

// forget keeps only the notices: the open prompt is answered. The caller holds mu.
func (l *Login) forget() {
	l.shown = slices.DeleteFunc(l.shown, func(q protocol.Prompt) bool { return q.Kind != protocol.PromptNotice })
}

// tell shows a sentence.
func (l *Login) tell(text string) { l.show(protocol.Prompt{Kind: protocol.PromptNotice, Text: text}) }
