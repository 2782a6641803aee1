package login

import (
	"maps"
	"slices"

	"github.com/groat-dev/groat/protocol"
)

// addViewer makes a viewer take part, and shows it the open prompt and the last notices.
func (l *Login) addViewer(v Viewer) {
	l.mu.Lock()
	l.viewers[v] = true
	shown := slices.Clone(l.prompts)
	l.mu.Unlock()
	for _, p := range shown {
		v.Notify(p)
	}
}

// removeViewer takes a viewer out, and cancels the login with its last one.
func (l *Login) removeViewer(v Viewer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.viewers, v)
	if len(l.viewers) == 0 {
		l.cancel()
	}
}

// showPrompt shows a prompt to every viewer. It returns the number of a question, 0 for other prompts.
func (l *Login) showPrompt(p protocol.Prompt) int64 {
	p.LoginID = l.id
	l.mu.Lock()
	if p.IsQuestion() {
		l.question++
		p.Question = l.question
	}
	l.recordPrompt(p)
	viewers := slices.Collect(maps.Keys(l.viewers))
	l.mu.Unlock()
	for _, v := range viewers { // one of them may be slow to read
		v.Notify(p)
	}
	return p.Question
}

// recordPrompt keeps what a viewer that joins must see: the open prompt, which is the last one that is no notice, and
// the last notices. The caller holds mu.
func (l *Login) recordPrompt(p protocol.Prompt) {
	notices := 0
	for _, q := range l.prompts {
		if q.Kind == protocol.PromptNotice {
			notices++
		}
	}
	if p.Kind != protocol.PromptNotice {
		l.dropOpenPrompt()
	} else if notices == maxNotices {
		i := slices.IndexFunc(l.prompts, func(q protocol.Prompt) bool { return q.Kind == protocol.PromptNotice })
		l.prompts = slices.Delete(l.prompts, i, i+1)
	}
	l.prompts = append(l.prompts, p)
}

// dropOpenPrompt keeps only the notices, once the open prompt is answered. The caller holds mu.
func (l *Login) dropOpenPrompt() {
	l.prompts = slices.DeleteFunc(l.prompts, func(q protocol.Prompt) bool { return q.Kind != protocol.PromptNotice })
}

// notice shows a sentence.
func (l *Login) notice(text string) {
	l.showPrompt(protocol.Prompt{Kind: protocol.PromptNotice, Text: text})
}
