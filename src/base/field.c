#include "quoin/base/field.h"

#include <stdbool.h>
#include <string.h>

enum { DEPTH_MAX = 16 }; /* of tables in tables */

void qn_object_init(const struct qn_object *o, void *dst)
{
	memset(dst, 0, o->size);
	for (size_t i = 0; i < o->n; i++) {
		char *at = (char *)dst + o->fields[i].offset;
		switch (o->fields[i].type) {
		case QN_T_I64:
		case QN_T_TIME:
			*(int64_t *)(void *)at = INT64_MIN;
			break;
		case QN_T_BOOL:
			*(qn_tri *)at = QN_UNSET;
			break;
		default: /* a null pointer, an empty span or list */
			break;
		}
	}
}

const struct qn_field *qn_object_field(const struct qn_object *o, const char *name)
{
	for (size_t i = 0; o != NULL && i < o->n; i++)
		if (strcmp(o->fields[i].name, name) == 0)
			return &o->fields[i];
	return NULL;
}

size_t qn_camel(const char *snake, char *out)
{
	char *p = out;

	for (; *snake != '\0'; snake++) {
		if (snake[0] == '_' && snake[1] >= 'a' && snake[1] <= 'z')
			*p++ = (char)(*++snake - 'a' + 'A');
		else
			*p++ = *snake;
	}
	*p = '\0';
	return (size_t)(p - out);
}

static const char *field_fault(const struct qn_field *f)
{
	if (f->name == NULL || f->name[0] == '\0')
		return "a field without a name";
	if (f->type == QN_T_NONE || f->type >= QN_T__MAX)
		return "a field without a type";
	if (f->doc == NULL || f->doc[0] == '\0')
		return "a field without a sentence";
	if (f->type == QN_T_ENUM && (f->choices == NULL || f->choices[0] == NULL))
		return "an enumeration without choices";
	if ((f->type == QN_T_OBJ || f->type == QN_T_LIST) && f->sub == NULL)
		return "an object without its table";
	if (f->least > f->most && f->most != 0)
		return "bounds the wrong way round";
	return NULL;
}

static bool named_before(const struct qn_object *o, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (strcmp(o->fields[j].name, o->fields[i].name) == 0)
			return true;
	return false;
}

static const char *object_fault(const struct qn_object *o, unsigned depth)
{
	if (depth > DEPTH_MAX)
		return "objects inside each other without end";
	if (o->name == NULL || o->fields == NULL || o->n == 0)
		return "an object without name or fields";
	for (size_t i = 0; i < o->n; i++) {
		const char *fault = field_fault(&o->fields[i]);
		if (fault == NULL && named_before(o, i))
			fault = "two fields of one name";
		if (fault == NULL && o->fields[i].sub != NULL)
			fault = object_fault(o->fields[i].sub, depth + 1);
		if (fault != NULL)
			return fault;
	}
	return NULL;
}

const char *qn_object_fault(const struct qn_object *o)
{
	return object_fault(o, 0);
}
