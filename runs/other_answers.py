"""The answers of a question that was asked more than once, for the page and for `mom chat`.

Asking again takes the place of the answer in the thread; the page's store keeps the checkpoint at
which the former one was left. To show another answer, the thread goes on from the checkpoint of
that one, so its debate, its label and what was asked after it are there again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage

from mom_council.runs.leases import ThreadLease
from mom_council.runs.page_store import KeptAnswer, PageStore

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

    Graph = CompiledStateGraph[Any, Any, Any, Any]


def last_turn(messages: Sequence[BaseMessage]) -> tuple[HumanMessage | None, AIMessage | None]:
    """The last question of a conversation, and its answer where there is one."""
    answer = None
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return message, answer
        if isinstance(message, AIMessage) and message.text and answer is None:
            answer = message
    return None, None


def repeat_question(question: HumanMessage, answer: AIMessage | None) -> list[BaseMessage]:
    """What puts a last question once more, in the place of its answer; the new question is last."""
    old = [m.id for m in (question, answer) if m is not None and m.id]
    new = HumanMessage(question.content, id=str(uuid.uuid4()))
    return [*(RemoveMessage(id=one) for one in old), new]


def keep_former(store: PageStore, thread: str, *, old: str, new: str, head: str) -> None:
    """Keep where a last answer is, whose question is asked again.

    Args:
        store: where it is kept.
        thread: the conversation.
        old: the id of the message that asked for the answer.
        new: the id of the message that asks again.
        head: the checkpoint of the answer.
    """
    first = {one.question: one.first for one in store.answers(thread)}.get(old, old)
    store.keep_answer(thread, KeptAnswer(question=old, first=first, head=head))
    store.keep_answer(thread, KeptAnswer(question=new, first=first, head=""))


def answers_of(store: PageStore, thread: str, question: str) -> list[KeptAnswer]:
    """The answers that can be shown in the place of a question's answer, that one among them."""
    answers = store.answers(thread)
    first = {one.question: one.first for one in answers}.get(question)
    return [one for one in answers if one.first == first and (one.head or one.question == question)]


async def show_answer(
    graph: Graph, store: PageStore, thread: str, other: KeptAnswer, *, current: str, head: str
) -> bool:
    """Put another answer in the place of the one that is shown, with what was asked after it.

    Args:
        graph: the council, compiled with the thread's checkpointer.
        store: where the answers are kept.
        thread: the conversation.
        other: the answer to show.
        current: the id of the message that asked for the answer that is shown now.
        head: the checkpoint to come back to; empty where that question has no answer.

    Returns:
        False where the other answer is not stored any more.

    Raises:
        ThreadBusyError: another program answers in it.
        StorageError: it cannot be read or written.
    """
    if not await _return_to(graph, thread, other.head):
        store.drop_answer(thread, other.question)
        return False
    if head:
        store.keep_answer(thread, KeptAnswer(question=current, first=other.first, head=head))
    else:
        store.drop_answer(thread, current)
    return True


async def _return_to(graph: Graph, thread: str, head: str) -> bool:
    """Make a thread what it was at an earlier checkpoint; False where that is gone."""
    config: RunnableConfig = {"configurable": {"thread_id": thread, "checkpoint_id": head}}
    saver: Any = graph.checkpointer
    if await saver.aget_tuple(config) is None:
        return False
    async with ThreadLease(saver, thread, wait=0):
        await graph.aupdate_state(config, {"messages": []}, as_node="synthesizer")
    return True
